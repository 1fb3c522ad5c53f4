// Asks for reservations with Apache Kafka's own client, in one file and without generated classes.
//
//     java -cp "$(scripts/kafka classpath)" Reserve.java BOOTSTRAP TOPIC <requests
//
// Each line on stdin is one request, its fields separated by tabs: the reservation id (32 hexadecimal digits), the
// customer (a number, not 0), the SKU, and how many. For each one a line goes to stdout once the brokers have it: the
// SKU, its partition, and the offset by which its decision will name it.

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Reserve {
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        // The default partitioner hashes the key as Holdfast does; the key is the SKU and nothing else.
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("linger.ms", "5");
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            List<String> skus = new ArrayList<>();
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (String line; (line = in.readLine()) != null; ) {
                String[] fields = line.split("\t");
                byte[] id = HexFormat.of().parseHex(fields[0]);
                byte[] request = request(id, Long.parseUnsignedLong(fields[1]), fields[2], Integer.parseInt(fields[3]));
                skus.add(fields[2]);
                sent.add(producer.send(new ProducerRecord<>(arguments[1], fields[2], request)));
            }
            for (int at = 0; at < sent.size(); at++) {
                RecordMetadata place = sent.get(at).get();
                out.println(skus.get(at) + "\t" + place.partition() + "\t" + place.offset());
            }
        }
        out.flush();
    }

    /** A CommandBatch of one Reserve of one line: contracts/proto/holdfast/inventory/v1/commands.proto. */
    static byte[] request(byte[] id, long customer, String sku, int quantity) {
        var line = new Message().number(2, quantity);
        var reserve = new Message().bytes(1, id).fixed64(2, customer).bytes(3, line.toByteArray());
        var command = new Message().bytes(1, reserve.toByteArray());
        var batch = new Message().bytes(3, sku.getBytes(StandardCharsets.UTF_8)).bytes(4, command.toByteArray());
        return batch.toByteArray();
    }

    /** As much of Protobuf as a request needs. */
    static class Message extends ByteArrayOutputStream {
        Message number(int field, long value) {
            varint(field << 3);
            varint(value);
            return this;
        }

        Message fixed64(int field, long value) {
            varint(field << 3 | 1);
            for (int shift = 0; shift < 64; shift += 8) {
                write((int) (value >>> shift));
            }
            return this;
        }

        Message bytes(int field, byte[] value) {
            varint(field << 3 | 2);
            varint(value.length);
            writeBytes(value);
            return this;
        }

        private void varint(long value) {
            for (; (value & ~0x7fL) != 0; value >>>= 7) {
                write((int) (value & 0x7f | 0x80));
            }
            write((int) value);
        }
    }
}

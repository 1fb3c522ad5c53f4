import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.LagInfo;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * A reservation service as one writes it with Kafka Streams: the peer that Holdfast is held against.
 *
 * <p>Arguments are {@code name=value}; names that hold a dot are settings of Kafka Streams and win over those below. It
 * prints {@code STATE <state> <ms since 1970>} at every change of state, with {@code lag=yes} also
 * {@code LAG <records> <stores>} when the distance to the changelogs of the stores it has here changes, and runs until
 * its standard input ends.
 */
public final class Reservations {
    private Reservations() {}

    public static void main(String[] args) throws Exception {
        Properties given = new Properties();
        for (String arg : args) {
            int at = arg.indexOf('=');
            given.setProperty(arg.substring(0, at), arg.substring(at + 1));
        }
        boolean inMemory = given.getProperty("store").equals("memory");
        Topology topology = topology(given.getProperty("commands"), given.getProperty("results"), inMemory);
        KafkaStreams streams = new KafkaStreams(topology, settings(given));
        CountDownLatch failed = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(
                error -> {
                    error.printStackTrace();
                    failed.countDown();
                    return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
                });
        streams.setStateListener((now, before) -> System.out.println("STATE " + now + " " + System.currentTimeMillis()));
        streams.start();
        Thread input = new Thread(() -> untilInputEnds(failed), "input");
        input.setDaemon(true);
        input.start();
        if (given.containsKey("lag")) {
            Thread lag = new Thread(() -> tellLag(streams), "lag");
            lag.setDaemon(true);
            lag.start();
        }
        failed.await();
        streams.close(Duration.ofSeconds(20));
    }

    private static void untilInputEnds(CountDownLatch done) {
        try {
            while (System.in.read() >= 0) {
                // Nobody says anything.
            }
        } catch (java.io.IOException error) {
            error.printStackTrace();
        }
        done.countDown();
    }

    private static void tellLag(KafkaStreams streams) {
        String before = "";
        try {
            while (true) {
                long records = 0;
                long stores = 0;
                for (Map<Integer, LagInfo> lags : streams.allLocalStorePartitionLags().values()) {
                    for (LagInfo lag : lags.values()) {
                        records += lag.offsetLag();
                        stores++;
                    }
                }
                String now = "LAG " + records + " " + stores;
                if (!now.equals(before)) {
                    System.out.println(now);
                    before = now;
                }
                Thread.sleep(250);
            }
        } catch (InterruptedException | RuntimeException error) {
            // Nobody needs it while the client ends.
            System.out.println("LAG unknown");
        }
    }

    private static Topology topology(String commands, String results, boolean inMemory) {
        var bytes = Serdes.ByteArray();
        Topology topology = new Topology();
        topology.addSource("commands", bytes.deserializer(), bytes.deserializer(), commands);
        topology.addProcessor("reserve", ReserveProcessor::new, "commands");
        // One SKU is written again and again: the cache makes one changelog record per commit out of all that.
        topology.addStateStore(store(ReserveProcessor.STOCK, inMemory).withCachingEnabled(), "reserve");
        // These keys are written once. A cache would only be one more map on the way.
        topology.addStateStore(store(ReserveProcessor.IDS, inMemory).withCachingDisabled(), "reserve");
        topology.addStateStore(store(ReserveProcessor.HOLDS, inMemory).withCachingDisabled(), "reserve");
        topology.addStateStore(store(ReserveProcessor.CUSTOMERS, inMemory).withCachingDisabled(), "reserve");
        topology.addSink("results", results, bytes.serializer(), bytes.serializer(), "reserve");
        return topology;
    }

    private static StoreBuilder<KeyValueStore<Bytes, byte[]>> store(String name, boolean inMemory) {
        KeyValueBytesStoreSupplier supplier =
                inMemory ? Stores.inMemoryKeyValueStore(name) : Stores.persistentKeyValueStore(name);
        return Stores.keyValueStoreBuilder(supplier, Serdes.Bytes(), Serdes.ByteArray()).withLoggingEnabled(Map.of());
    }

    private static Properties settings(Properties given) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, given.getProperty("guarantee"));
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, RocksTuning.class);
        // One partition is one task, and one task has one thread.
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 16L << 20);
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 20_000);
        settings.put(StreamsConfig.ENABLE_METRICS_PUSH_CONFIG, false);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.CHECK_CRCS_CONFIG), true);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 128L << 20);
        for (String name : given.stringPropertyNames()) {
            if (name.indexOf('.') >= 0) {
                settings.put(name, given.getProperty(name));
            }
        }
        return settings;
    }
}

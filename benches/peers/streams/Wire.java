import java.nio.ByteBuffer;
import org.apache.kafka.common.utils.Bytes;

/** The records of this peer: fixed sizes and big endian, so that reading and writing them costs next to nothing. */
final class Wire {
    /** First byte of a command record that asks for units: then come requests of {@link #REQUEST_BYTES} each. */
    static final byte RESERVE = 1;
    /** First byte of a command record that opens a sale: then come stock (8), hold TTL in ms (8), units per customer (4). */
    static final byte OPEN = 2;

    /** Id (16), customer (8), quantity (4). */
    static final int REQUEST_BYTES = 28;
    /** Id (16), outcome (1). */
    static final int RESULT_BYTES = 17;

    /** Outcomes. */
    static final byte RESERVED = 1;
    static final byte SOLD_OUT = 2;
    static final byte OVER_LIMIT = 3;
    static final byte ID_REUSED = 4;
    static final byte EXPIRED = 5;
    /** Added to an outcome that is the first answer again. */
    static final byte REPLAY = 0x40;

    private Wire() {}

    /** The remembered answer to an id: fingerprint of the request (4), outcome (1), when (8), deadline of the hold (8). */
    static byte[] answer(int fingerprint, byte outcome, long now, long deadline) {
        return ByteBuffer.allocate(21).putInt(fingerprint).put(outcome).putLong(now).putLong(deadline).array();
    }

    /** Holds are kept by their deadline, so that those that are due come first. */
    static Bytes holdKey(long deadline, byte[] id) {
        return Bytes.wrap(ByteBuffer.allocate(24).putLong(deadline).put(id).array());
    }

    static Bytes customerKey(byte[] sku, long customer) {
        return Bytes.wrap(ByteBuffer.allocate(sku.length + 8).put(sku).putLong(customer).array());
    }

    /** Customer (8), quantity (4), SKU. */
    static byte[] hold(long customer, int quantity, byte[] sku) {
        return ByteBuffer.allocate(12 + sku.length).putLong(customer).putInt(quantity).put(sku).array();
    }

    static byte[] units(int units) {
        return ByteBuffer.allocate(4).putInt(units).array();
    }

    /** What an id was asked for: another quantity or customer under the same id is another request. */
    static int fingerprint(long customer, int quantity) {
        return Long.hashCode(customer * 0x9e3779b97f4a7c15L + quantity);
    }
}

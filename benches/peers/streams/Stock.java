import java.nio.ByteBuffer;

/** Units and terms of one SKU. */
final class Stock {
    long available;
    long held;
    long ttlMs;
    int perCustomerMax;

    static Stock of(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Stock stock = new Stock();
        stock.available = in.getLong();
        stock.held = in.getLong();
        stock.ttlMs = in.getLong();
        stock.perCustomerMax = in.getInt();
        return stock;
    }

    byte[] bytes() {
        return ByteBuffer.allocate(28).putLong(available).putLong(held).putLong(ttlMs).putInt(perCustomerMax).array();
    }

    void take(int quantity) {
        available -= quantity;
        held += quantity;
        if (available < 0) {
            throw new IllegalStateException("oversold");
        }
    }

    void giveBack(int quantity) {
        available += quantity;
        held -= quantity;
        if (held < 0) {
            throw new IllegalStateException("more given back than was held");
        }
    }
}

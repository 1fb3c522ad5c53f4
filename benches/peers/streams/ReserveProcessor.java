import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Decides requests for units of a SKU: once per id, within the stock and the limit per customer, with a deadline.
 *
 * <p>The same checks in the same order as Holdfast: duplicate, sale open, customer limit, stock.
 */
final class ReserveProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    static final String STOCK = "stock";
    static final String IDS = "ids";
    static final String HOLDS = "holds";
    static final String CUSTOMERS = "customers";

    /** Holds ended by one punctuation at most, so that it never stands in the way for long. */
    private static final int EXPIRIES_MAX = 10_000;

    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> stocks;
    private KeyValueStore<Bytes, byte[]> ids;
    private KeyValueStore<Bytes, byte[]> holds;
    private KeyValueStore<Bytes, byte[]> customers;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        stocks = context.getStateStore(STOCK);
        ids = context.getStateStore(IDS);
        holds = context.getStateStore(HOLDS);
        customers = context.getStateStore(CUSTOMERS);
        context.schedule(Duration.ofMillis(500), PunctuationType.WALL_CLOCK_TIME, this::expire);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        ByteBuffer in = ByteBuffer.wrap(record.value());
        byte kind = in.get();
        Bytes sku = Bytes.wrap(record.key());
        if (kind == Wire.OPEN) {
            Stock stock = new Stock();
            stock.available = in.getLong();
            stock.ttlMs = in.getLong();
            stock.perCustomerMax = in.getInt();
            stocks.put(sku, stock.bytes());
            return;
        }
        byte[] found = stocks.get(sku);
        Stock stock = found == null ? new Stock() : Stock.of(found);
        long heldBefore = stock.held;
        ByteBuffer out = ByteBuffer.allocate(in.remaining() / Wire.REQUEST_BYTES * Wire.RESULT_BYTES);
        while (in.hasRemaining()) {
            byte[] id = new byte[16];
            in.get(id);
            byte outcome = decide(record, stock, id, in.getLong(), in.getInt());
            out.put(id).put(outcome);
        }
        if (stock.held != heldBefore) {
            stocks.put(sku, stock.bytes());
        }
        context.forward(record.withValue(out.array()));
    }

    private byte decide(Record<byte[], byte[]> record, Stock stock, byte[] id, long customer, int quantity) {
        Bytes key = Bytes.wrap(id);
        int fingerprint = Wire.fingerprint(customer, quantity);
        byte[] before = ids.get(key);
        if (before != null) {
            ByteBuffer answer = ByteBuffer.wrap(before);
            return answer.getInt() == fingerprint ? (byte) (answer.get() | Wire.REPLAY) : Wire.ID_REUSED;
        }
        Bytes customerKey = Wire.customerKey(record.key(), customer);
        byte[] had = customers.get(customerKey);
        int units = had == null ? 0 : ByteBuffer.wrap(had).getInt();
        long now = record.timestamp();
        long deadline = now + stock.ttlMs;
        byte outcome = Wire.RESERVED;
        if (units + quantity > stock.perCustomerMax) {
            outcome = Wire.OVER_LIMIT;
        } else if (quantity > stock.available) {
            outcome = Wire.SOLD_OUT;
        }
        if (outcome == Wire.RESERVED) {
            stock.take(quantity);
            customers.put(customerKey, Wire.units(units + quantity));
            holds.put(Wire.holdKey(deadline, id), Wire.hold(customer, quantity, record.key()));
        }
        ids.put(key, Wire.answer(fingerprint, outcome, now, deadline));
        return outcome;
    }

    /** Ends the holds that are due, and says so. */
    private void expire(long now) {
        List<KeyValue<Bytes, byte[]>> due = new ArrayList<>();
        Bytes first = Bytes.wrap(new byte[24]);
        Bytes last = Wire.holdKey(now, new byte[16]);
        try (KeyValueIterator<Bytes, byte[]> range = holds.range(first, last)) {
            while (range.hasNext() && due.size() < EXPIRIES_MAX) {
                due.add(range.next());
            }
        }
        for (KeyValue<Bytes, byte[]> hold : due) {
            end(hold, now);
        }
    }

    private void end(KeyValue<Bytes, byte[]> hold, long now) {
        ByteBuffer in = ByteBuffer.wrap(hold.value);
        long customer = in.getLong();
        int quantity = in.getInt();
        byte[] sku = new byte[in.remaining()];
        in.get(sku);
        Bytes skuKey = Bytes.wrap(sku);
        Stock stock = Stock.of(stocks.get(skuKey));
        stock.giveBack(quantity);
        stocks.put(skuKey, stock.bytes());
        Bytes customerKey = Wire.customerKey(sku, customer);
        int left = ByteBuffer.wrap(customers.get(customerKey)).getInt() - quantity;
        if (left == 0) {
            customers.delete(customerKey);
        } else {
            customers.put(customerKey, Wire.units(left));
        }
        holds.delete(hold.key);
        byte[] result = new byte[Wire.RESULT_BYTES];
        System.arraycopy(hold.key.get(), 8, result, 0, 16);
        result[16] = Wire.EXPIRED;
        context.forward(new Record<>(sku, result, now));
    }
}

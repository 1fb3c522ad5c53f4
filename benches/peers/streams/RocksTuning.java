import java.util.Map;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.BloomFilter;
import org.rocksdb.Cache;
import org.rocksdb.CompressionType;
import org.rocksdb.LRUCache;
import org.rocksdb.Options;

/** RocksDB for many small values under random keys that are mostly looked up before they exist. */
public final class RocksTuning implements RocksDBConfigSetter {
    private static final Cache CACHE = new LRUCache(256L << 20);
    private static final BloomFilter FILTER = new BloomFilter(10, false);

    @Override
    public void setConfig(String store, Options options, Map<String, Object> configs) {
        BlockBasedTableConfig table = (BlockBasedTableConfig) options.tableFormatConfig();
        table.setBlockCache(CACHE);
        table.setFilterPolicy(FILTER);
        table.setWholeKeyFiltering(true);
        table.setOptimizeFiltersForMemory(true);
        options.setTableFormatConfig(table);
        // Few flushes, and a look for an id that nobody used yet ends at the filter of the memtable.
        options.setWriteBufferSize(64L << 20);
        options.setMaxWriteBufferNumber(3);
        options.setMemtableWholeKeyFiltering(true);
        options.setMemtablePrefixBloomSizeRatio(0.1);
        options.setCompressionType(CompressionType.LZ4_COMPRESSION);
        options.setMaxBackgroundJobs(2);
    }

    @Override
    public void close(String store, Options options) {
        // Cache and filter are shared by all stores and live as long as the process.
    }
}

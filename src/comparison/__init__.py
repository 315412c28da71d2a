"""Reports over many archived runs: reading, pooling, statistics, figures, page and export."""

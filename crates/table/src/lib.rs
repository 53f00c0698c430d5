//! Tables of items: keys, expressions, conditions, and their change log.

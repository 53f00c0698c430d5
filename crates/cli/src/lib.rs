//! Commands, output and progress; talks HTTP to a node.

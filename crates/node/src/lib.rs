//! Wires one node over a store, a clock, chance and a network.

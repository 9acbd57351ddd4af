"""Machine: a state machine that changes connections in any order, with checks after each step."""

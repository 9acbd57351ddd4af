"""Machine: connections put through anything, in any order, and what has to hold after each step."""

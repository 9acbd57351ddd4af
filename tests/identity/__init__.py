"""Identity resolution, side by side with the reference's, in a network that the tests make."""

"""Linear systems of Newton's method: dense, sparse, symmetric, and by laws of cuts."""

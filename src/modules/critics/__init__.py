"""Critics: what policies are judged by."""

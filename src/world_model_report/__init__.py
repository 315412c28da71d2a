"""What a world model foresees on fresh episodes: numbers, pictures, and one page that holds them."""

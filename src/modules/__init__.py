"""Networks. Nothing here knows of learners, controllers or environments."""

"""What would be at home in any project: errors, exits, files, logging, drawing."""

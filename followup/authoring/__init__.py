"""What marketers write: files in, core values, letters and diagnostics out."""

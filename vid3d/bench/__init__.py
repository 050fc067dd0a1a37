"""Speed of the parts, measured side by side in one run: `vid3d bench`."""

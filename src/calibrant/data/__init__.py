"""Images and labels: the embedded drawings, and folders and manifests of the user's own."""

"""The cockpit: pages for people, in a browser. Server-rendered, with one script; nothing from elsewhere."""

"""The chat page, and the server that hands it out on :3000.

    __main__ -> app       routes, security headers, /config.json
                 assets   files read and compressed once, at start
                 stripping  scripts without their comments and indentation
                 libraries  what npm has installed of package-lock.json: found while serving, for it may come later
    static/      the page: index.html, css/, js/ (plain ES modules; nothing is built)

The page talks to the gateway; this server never does. Without its libraries the page shows plain text.
"""

"""The media types of files, by their extensions.

The table is ours: that of the machine (mime.types) differs between machines. Names are those that
are registered, or that browsers expect.
"""

OTHER = b"application/octet-stream"

_TEXT = {
    "text/html": "html htm",
    "text/css": "css",
    "text/javascript": "js mjs cjs",
    "text/plain": "txt text log conf ini toml diff patch",
    "text/markdown": "md markdown",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/calendar": "ics",
    "text/vcard": "vcf",
    "text/vtt": "vtt",
    "application/xml": "xml xsl xsd",
    "application/xhtml+xml": "xhtml xht",
    "application/rss+xml": "rss",
    "application/atom+xml": "atom",
    "application/yaml": "yaml yml",
    "image/svg+xml": "svg",
}
_OTHERS = {
    "application/json": "json map topojson",
    "application/ld+json": "jsonld",
    "application/geo+json": "geojson",
    "application/manifest+json": "webmanifest",
    "application/wasm": "wasm",
    "application/pdf": "pdf",
    "application/epub+zip": "epub",
    "application/rtf": "rtf",
    "application/zip": "zip",
    "application/gzip": "gz tgz",
    "application/x-brotli": "br",
    "application/zstd": "zst",
    "application/x-bzip2": "bz2",
    "application/x-xz": "xz",
    "application/x-tar": "tar",
    "application/x-7z-compressed": "7z",
    "application/java-archive": "jar",
    "application/vnd.android.package-archive": "apk",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.apple.mpegurl": "m3u8",
    "application/dash+xml": "mpd",
    "image/png": "png",
    "image/apng": "apng",
    "image/jpeg": "jpg jpeg jfif",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/jxl": "jxl",
    "image/heic": "heic",
    "image/bmp": "bmp",
    "image/tiff": "tif tiff",
    "image/x-icon": "ico",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/collection": "ttc",
    "application/vnd.ms-fontobject": "eot",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg oga opus",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/aac": "aac",
    "video/mp4": "mp4 m4v",
    "video/webm": "webm",
    "video/ogg": "ogv",
    "video/quicktime": "mov",
    "video/mp2t": "ts",
    "video/x-matroska": "mkv",
    "video/x-msvideo": "avi",
    "model/gltf+json": "gltf",
    "model/gltf-binary": "glb",
}
_BY_EXTENSION = {
    extension.encode(): kind.encode() + charset
    for table, charset in ((_TEXT, b"; charset=utf-8"), (_OTHERS, b""))
    for kind, extensions in table.items()
    for extension in extensions.split()
}
_BY_NAME = {
    b"apple-app-site-association": b"application/json",
    b"CNAME": b"text/plain; charset=utf-8",
    b"LICENSE": b"text/plain; charset=utf-8",
    b"README": b"text/plain; charset=utf-8",
}


_OF_ASSETS = (
    b"text/css", b"text/javascript", b"application/wasm", b"application/vnd.ms-fontobject",
    b"font/", b"image/", b"audio/", b"video/", b"model/",
)  # fmt: skip


def content_type(name: bytes) -> bytes:
    """The Content-Type of a file of this name."""
    extension = name.rpartition(b".")[2].lower() if b"." in name else b""
    return _BY_EXTENSION.get(extension) or _BY_NAME.get(name, OTHER)


def is_page(name: bytes) -> bool:
    """Whether it is a page, by which visitors enter a site."""
    return content_type(name).startswith((b"text/html", b"application/xhtml+xml"))


def is_asset(name: bytes) -> bool:
    """Whether it is a part of pages: visitors hardly ever ask for it by itself."""
    return content_type(name).startswith(_OF_ASSETS) or name.endswith(b".map")

"""Requests that two servers may read differently (T13, S4), and one that a smuggler would put behind them."""

from typing import Final

POST: Final = b"POST /api/chat/stream HTTP/1.1\r\nContent-Type: application/json\r\n"
HOST: Final = b"Host: localhost\r\n"
SECOND: Final = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
FRAMES: Final = {
    "two hosts": POST + HOST + b"Host: evil\r\nContent-Length: 2\r\n\r\n{}",
    "no host": b"POST /api/chat/stream HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": POST + HOST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "chunks and length": POST + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + HOST + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "the same length twice": POST + HOST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": POST + HOST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": POST + HOST + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + HOST + b"Content-Length: -2\r\n\r\n{}",
    "a hexadecimal length": POST + HOST + b"Content-Length: 0x2\r\n\r\n{}",
    "an endless length": POST + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "an unknown coding": POST + HOST + b"Transfer-Encoding: chunked123\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunked not last": POST + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunked twice": POST + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a tab before chunked": POST + HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + HOST + b"Content-Length : 2\r\n\r\n{}",
    "bare line feeds": b"POST /api/chat/stream HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{}",
    "a folded header": POST + HOST + b"X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "a null in a header": POST + HOST + b"X-Null: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "a header of 9 KB": POST + HOST + b"X-Long: " + b"a" * 9000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "200 headers": POST + HOST + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"Content-Length: 2\r\n\r\n{}",
    "a bare line of HTTP/0.9": b"GET /livez\r\n\r\n",
    "an absolute target": b"GET http://localhost/livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "a chunk size that is no number": POST + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk size that overflows": POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n1" + b"0" * 17 + b"\r\n{}\r\n",
    "a chunk that is longer than it says": POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": b"CONNECT localhost:11434 HTTP/1.1\r\n" + HOST + b"\r\n",
}

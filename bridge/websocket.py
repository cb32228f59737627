"""uvicorn's WebSocket protocol, safe from clients that send but do not read."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSocketProtocol(WebSocketsSansIOProtocol):
    def handle_ping(self) -> None:
        """A pong that would only wait in memory is dropped (RFC 6455, section 5.5.3, asks for the last)."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

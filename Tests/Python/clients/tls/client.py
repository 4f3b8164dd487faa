"""Clients that check the certificate."""

import socket
import ssl

from support.raw_client import RawClient, head


def trust(certificate, **settings):
    context = ssl.create_default_context(cafile=certificate)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def encrypted(server, context):
    return context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 10), server_hostname="localhost")


def get(server, context):
    with encrypted(server, context) as client:
        client.sendall(head({"Host": "localhost", "Connection": "close"}))
        data = b""
        while chunk := client.recv(65536):
            data += chunk
        return data


class Encrypted(RawClient):
    def __init__(self, server, certificate):
        super().__init__(server.port)
        self.socket = trust(certificate).wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

"""The master's web port through a port-forward that may end in the middle of an answer."""

import socket
import threading
from collections.abc import Iterator

import pytest

from contract.master import Master, MasterError


@pytest.fixture(params=[b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"HTTP/1.1 200", b"SSH-2.0\r\n\r\n", b""])
def cut_off(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of something that begins an answer and ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            there, _ = server.accept()
            with there:
                there.recv(65536)
                there.sendall(request.param)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_an_answer_that_was_cut_off_is_an_error_in_words(cut_off: str) -> None:
    """Not a stack trace of the HTTP library in the middle of a run."""
    with pytest.raises(MasterError, match="GET /arrivals/live"):
        Master(cut_off).live()

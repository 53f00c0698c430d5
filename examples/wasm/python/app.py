"""Answers a text in capitals: `POST /shout`."""

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import Fields, OutgoingBody, OutgoingResponse, ResponseOutparam


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        text = read(request.consume()).decode(errors="replace")
        print(f"shouting {len(text)} characters")
        response = OutgoingResponse(Fields.from_list([("content-type", b"text/plain; charset=utf-8")]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            answer = text.upper().encode()
            for start in range(0, len(answer), 4096):
                stream.blocking_write_and_flush(answer[start : start + 4096])
        OutgoingBody.finish(body, None)


def read(body):
    pieces = []
    with body.stream() as stream:
        while True:
            try:
                pieces.append(stream.blocking_read(64 << 10))
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return b"".join(pieces)
                raise

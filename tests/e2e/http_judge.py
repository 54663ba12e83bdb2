"""http_judge.py - an HTTP server that writes down every request it sees, as h11 (an independent parser) reads it.

Usage   /usr/bin/python3 http_judge.py FILE NAME=ADDRESS,PORT ...      the distribution's python, which has h11
Model   one line of JSON per request in FILE: at (NAME), connection, method, target, body (octets), for (the last address
        of x-forwarded-for), whole. What h11 refuses is a line with `refused`. Every request is answered 200 without a body.
"""
import asyncio
import json
import sys

import h11


class Judge:
    def __init__(self, out):
        self.out, self.connections = out, 0

    def write(self, **values):
        self.out.write(json.dumps(values) + "\n")
        self.out.flush()

    async def serve(self, name, reader, writer):
        self.connections += 1
        where = {"at": name, "connection": self.connections}
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        request = None
        try:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(1 << 16))
                elif isinstance(event, h11.Request):
                    fields = {bytes(n): bytes(v).decode("latin-1") for n, v in event.headers}
                    request = {"method": event.method.decode(), "target": event.target.decode(), "body": 0,
                               "for": fields.get(b"x-forwarded-for", "").split(",")[-1].strip()}
                elif isinstance(event, h11.Data):
                    request["body"] += len(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self.write(**where, **request, whole=True)
                    request = None
                    writer.write(connection.send(h11.Response(status_code=200, headers=[("content-length", "0")])))
                    writer.write(connection.send(h11.EndOfMessage()))
                    await writer.drain()
                    if connection.our_state is h11.MUST_CLOSE:
                        return
                    connection.start_next_cycle()
                else:
                    return
        except h11.RemoteProtocolError as error:
            if request is None:
                self.write(**where, refused=str(error))
        except ConnectionError:
            pass
        finally:
            if request is not None:
                self.write(**where, **request, whole=False)
            writer.close()


async def main(path, places):
    with open(path, "a") as out:
        judge = Judge(out)
        for place in places:
            name, rest = place.split("=")
            address, port = rest.rsplit(",", 1)
            await asyncio.start_server(lambda r, w, name=name: judge.serve(name, r, w), address, int(port), backlog=1024)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))

"""What a crash of the server has left open, found in the log."""

import simplejson

from protocol.updates import UpdateType
from storage.log_reader import LogReader
from storage.record import PREFIX_BYTES

_PROMPT = f'"update_type":"{UpdateType.PROMPT}"'.encode()
_FINISHED = f'"update_type":"{UpdateType.EXECUTION_FINISHED}"'.encode()


def find_open(reader: LogReader, after_seq: int, upto: int) -> list[str]:
    """Executions, in order, with a `prompt` and no `execution_finished` behind `after_seq`.

    Only those two kinds of record are parsed. Raises OSError.
    """
    opened: dict[str, None] = {}
    position = after_seq
    while position < upto:
        page = reader.read_after(position, upto)
        for item in page.items:
            if not isinstance(item, bytes):
                continue
            head = item[:PREFIX_BYTES]
            if _PROMPT in head:
                opened[_execution_id(item)] = None
            elif _FINISHED in head:
                opened.pop(_execution_id(item), None)
        position = page.last_seq
    return list(opened)


def _execution_id(line: bytes) -> str:
    return str(simplejson.loads(line)["data"]["execution_id"])

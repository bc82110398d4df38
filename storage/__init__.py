"""The only package that touches the disk. It imports nothing of ours.

    DATA_DIR/                       0700
      lock                          held by flock for the server's life, its pid inside
      version                       of this format (data_version.py)
      id                            names this folder in the environment of agents
      projects/<project_id>/        0700
        meta.json, meta.json.old    the project's metadata, replaced atomically
        log/<first seq>-<time>.jsonl   0600, one record a line, never renamed
          ….jsonl.gz, ….jsonl.zst   a closed segment, compressed (blocks.py)
          ….jsonl.torn-<offset>     what a recovery has cut off
          ….new                     unfinished: the log's owner takes or deletes it
      kept/<project_id>~<log_id>/   histories of deleted projects
      trash/                        deletions under way, emptied at the next start

A record is one line of JSON:

    {"crc":"9f3c01ab","seq":123,"timestamp":"…Z","project_id":"p","update_type":"claude",…}

`crc` is the CRC-32 of every byte from `"seq"` to the closing brace.
"""

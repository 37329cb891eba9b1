"""What stands in a server's store, for what no door shows."""
import datetime
import sqlite3

import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument


def rows(server, table, column, **where):
    """One field of the rows whose other fields have these values."""
    if server.store:
        with pymongo.MongoClient(server.store) as client:
            return [row.get(column) for row in client.get_default_database()[table].find(where)]
    with sqlite3.connect(f"file:{server.data}/postrider.db?mode=ro", uri=True) as db:
        names = " and ".join(f"{k} = ?" for k in where) or "1"
        found = [row[0] for row in db.execute(f"select {column} from {table} where {names}", tuple(where.values()))]
    db.close()
    return found


def everything(server):
    """All bytes kept: the files, or every document and the log of what was written."""
    if not server.store:
        return b"".join(f.read_bytes() for f in server.data.glob("postrider.db*"))
    with pymongo.MongoClient(server.store) as client:
        raw = CodecOptions(document_class=RawBSONDocument)
        database = client.get_default_database(codec_options=raw)
        kept = [d for name in database.list_collection_names() for d in database[name].find()]
        ours = {"$regex": f"^{database.name}\\."}
        log = client.get_database("local", codec_options=raw)["oplog.rs"].find({"$or": [{"ns": ours}, {"o.applyOps.ns": ours}]})
        return b"".join(d.raw for d in kept + list(log))


def grow_older(server, seconds):
    """As if so long had passed when it is started again: its clock is moved. With MongoDB the clock is mongod's, so all times kept are
    moved the other way."""
    if not server.store:
        server.env["POSTRIDER_CLOCK_SHIFT"] = str(int(server.env.get("POSTRIDER_CLOCK_SHIFT", 0)) + seconds)
        return
    with pymongo.MongoClient(server.store) as client:
        database = client.get_default_database()
        for rows in map(database.get_collection, database.list_collection_names()):
            for row in rows.find():
                times = {k: v - datetime.timedelta(seconds=seconds) for k, v in row.items() if isinstance(v, datetime.datetime)}
                if times:
                    rows.update_one({"_id": row["_id"]}, {"$set": times})

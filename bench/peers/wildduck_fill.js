// node wildduck_fill.js MODULES URI ADDRESS COPIES: the one message in the INBOX of ADDRESS becomes COPIES of it.
//
// WildDuck takes a hundred mails a second: what it would have stored is written beside it, document by document the
// same but for id, uid, sequence, thread and dates. Uses the MongoDB driver that came with WildDuck (in MODULES).
'use strict';
const [modules, uri, address, copies] = process.argv.slice(2);
const { MongoClient, ObjectId } = require(`${modules}/mongodb`);
const BATCH = 1000;

function copy(message, number) {
    const id = new ObjectId();
    const later = date => new Date(date.getTime() + number);
    return {
        ...message, _id: id, root: id, thread: new ObjectId(), uid: message.uid + number,
        modseq: message.modseq + number, idate: later(message.idate), hdate: later(message.hdate)
    };
}

async function fill(db) {
    const { user } = await db.collection('addresses').findOne({ addrview: address });
    const mailbox = await db.collection('mailboxes').findOne({ user, path: 'INBOX' });
    const message = await db.collection('messages').findOne({ mailbox: mailbox._id });
    const more = Number(copies) - 1;
    for (let done = 0; done < more; done += BATCH) {
        const batch = Array.from({ length: Math.min(BATCH, more - done) }, (_, i) => copy(message, done + i + 1));
        await db.collection('messages').insertMany(batch);
    }
    await db.collection('mailboxes').updateOne({ _id: mailbox._id }, { $inc: { uidNext: more, modifyIndex: more } });
    await db.collection('users').updateOne({ _id: user }, { $inc: { storageUsed: more * message.size } });
}

async function main() {
    const client = await MongoClient.connect(uri);
    await fill(client.db());
    await client.close();
}

main().catch(error => {
    console.error(error.message);
    process.exit(1);
});

// nodemailer's smtp-server: a message is a stream, which is counted.
'use strict';

const { SMTPServer } = require('smtp-server');

let messages = 0;
let octets = 0;

const server = new SMTPServer({
    name: 'bench.example',
    disabledCommands: ['AUTH', 'STARTTLS'],
    authOptional: true,
    disableReverseLookup: true,
    logger: false,
    onData(stream, session, callback) {
        stream.on('data', chunk => { octets += chunk.length; });
        stream.on('end', () => { messages += 1; callback(); });
    }
});

server.on('error', () => {});
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 1024 });

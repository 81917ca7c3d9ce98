#!/usr/bin/env node
// The same work in Node.js: HTTP/2 with gRPC's framing of messages (five bytes) and trailers, over a Unix socket.
//
// node_http2.js serve PATH
// node_http2.js measure PATH --bytes N --count N --warm-up N --samples FILE
//
// There is no protobuf in Node.js itself; messages are JSON, as in node_json.js.
'use strict';
const http2 = require('http2');
const net = require('net');
const common = require('./node_common.js');

const WINDOW = {initialWindowSize: 1 << 24};

function frame(object) {
  const body = Buffer.from(JSON.stringify(object));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function message(chunks) {
  const bytes = Buffer.concat(chunks);
  if (bytes[0] !== 0 || bytes.readUInt32BE(1) !== bytes.length - 5) throw new Error('not one message');
  return JSON.parse(bytes.toString('utf8', 5));
}

function serve({path}) {
  const server = http2.createServer({settings: WINDOW});
  server.on('stream', (stream) => {
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => {
      stream.respond({':status': 200, 'content-type': 'application/grpc+json'}, {waitForTrailers: true});
      stream.on('wantTrailers', () => stream.sendTrailers({'grpc-status': '0'}));
      stream.end(frame(common.reply(message(chunks))));
    });
  });
  server.listen(path, () => common.report({listening: true}));
}

function measure({path, bytes, count, 'warm-up': warmUp, samples}) {
  const text = common.text(Number(bytes));
  const last = Number(warmUp) + Number(count);
  const times = [];
  const session = http2.connect('http://localhost', {createConnection: () => net.connect(path), settings: WINDOW});
  let turn = 0;
  const ask = () => {
    turn += 1;
    const start = process.hrtime.bigint();
    const stream = session.request({
      ':method': 'POST', ':path': '/apus.Engine/Tokenize', 'content-type': 'application/grpc+json', te: 'trailers',
    });
    const chunks = [];
    let status;
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('trailers', (trailers) => { status = trailers['grpc-status']; });
    stream.on('end', () => {
      common.verify(message(chunks), turn, text);
      if (status !== '0') throw new Error(`status ${status}`);
      if (turn > Number(warmUp)) times.push(process.hrtime.bigint() - start);
      if (turn < last) return ask();
      common.keep(times, samples);
      common.report({count: times.length});
      session.close();
    });
    stream.end(frame(common.request(turn, text)));
  };
  session.on('connect', ask);
}

const options = common.options();
({serve, measure})[options.role](options);

// What both Node.js peers share: the messages, their checks, options and raw samples.
'use strict';
const fs = require('fs');

const WORDS = 'let count = values.filter { $0 > limit }.count // "river" and stone,\n\tlamp ';

exports.options = () => {
  const [role, path, ...rest] = process.argv.slice(2);
  const options = {role, path};
  for (let index = 0; index + 1 < rest.length; index += 2) options[rest[index].slice(2)] = rest[index + 1];
  return options;
};

exports.text = (bytes) => WORDS.repeat(Math.floor(bytes / WORDS.length) + 1).slice(0, bytes);

exports.request = (id, text) => ({
  id, model: 'model', request_id: 'benchmark', resumes: false, type: 'tokenize', text, add_special: true,
  parse_special: true,
});

exports.reply = (request) => {
  if (request.model !== 'model' || request.request_id !== 'benchmark' || request.resumes || request.type !== 'tokenize'
    || !request.add_special || !request.parse_special) throw new Error('a request that nobody sent');
  const ids = [Buffer.byteLength(request.text)];
  return {id: request.id, events: [{type: 'tokens', choice: 0, kind: 'content', ids, text: request.text}]};
};

exports.verify = (reply, id, text) => {
  const event = reply.events[0];
  if (reply.id !== id || reply.events.length !== 1 || event.type !== 'tokens' || event.choice !== 0
    || event.kind !== 'content' || event.ids.length !== 1 || event.ids[0] !== Buffer.byteLength(text)
    || event.text !== text) throw new Error(`answer ${id} is not what was asked for`);
};

exports.report = (object) => fs.writeSync(1, JSON.stringify(object) + '\n');

exports.keep = (samples, file) => fs.writeFileSync(file, Buffer.from(BigUint64Array.from(samples).buffer));

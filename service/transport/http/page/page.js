// Shows /openapi.json. All of it goes in as text: nothing that it says becomes markup.
'use strict';

const VERBS = ['post', 'get', 'delete'];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.flat().filter((child) => child !== null));
  return made;
}

// `code` within a sentence
function words(text) {
  return text.split('`').map((part, at) => (at % 2 ? element('code', {}, part) : part));
}

// paragraphs and lists, as comments and Markdown write them
function prose(text) {
  const blocks = [];
  for (const block of (text || '').split(/\n\s*\n/)) {
    const items = block.split(/\n(?= *(?:-|\d+\.) )|^(?= *(?:-|\d+\.) )/).filter(Boolean);
    if (items.every((item) => /^ *(-|\d+\.) /.test(item))) {
      const ordered = /^ *\d/.test(items[0]);
      blocks.push(element(ordered ? 'ol' : 'ul', {}, items.map((item) =>
        element('li', {}, words(item.replace(/^ *(-|\d+\.) +/, ''))))));
    } else {
      blocks.push(element('p', {}, words(block)));
    }
  }
  return blocks;
}

function kind(schema) {
  if (schema.$ref) {
    const name = schema.$ref.split('/').pop();
    return element('a', {href: `#${name}`}, name);
  }
  if (schema.anyOf) return element('span', {}, kind(schema.anyOf[0]), ' or null');
  if (schema.type === 'array') return element('span', {}, 'list of ', kind(schema.items));
  const types = [schema.type].flat().join(' or ');
  return element('span', {}, schema.format ? `${types}, ${schema.format}` : types);
}

function table(head, rows) {
  return element('table', {},
    element('thead', {}, element('tr', {}, head.map((one) => element('th', {scope: 'col'}, one)))),
    element('tbody', {}, rows.map((row) =>
      element('tr', {}, row.map((cell) => element('td', {}, cell))))));
}

function properties(schema) {
  const required = schema.required || [];
  return table(['Field', 'Type', ''], Object.entries(schema.properties).map(([name, one]) => [
    [element('code', {}, name), required.includes(name) ? null : element('span', {class: 'soft'}, ' ?')],
    [kind(one)],
    prose(one.description),
  ]));
}

function verb(name) {
  return element('span', {class: `verb ${name}`}, name.toUpperCase());
}

function parameters(operation) {
  if (!operation.parameters) return [];
  return [element('h3', {}, 'Parameters'), table(['Name', 'In', 'Type', ''],
    operation.parameters.map((one) => [
      [element('code', {}, one.name)], [one.in], [kind(one.schema)], prose(one.description),
    ]))];
}

function answers(operation) {
  return [element('h3', {}, 'Answers'), table(['Status', 'Body', ''],
    Object.entries(operation.responses).map(([status, one]) => {
      const schema = Object.values(one.content)[0].schema;
      const shown = schema.$ref ? kind(schema)
        : element('code', {}, Object.keys(schema.properties || {}).join(', ') || schema.type);
      return [[status], [shown], prose(one.description)];
    }))];
}

function operation(path, name, one) {
  const body = one.requestBody;
  return element('section', {id: `${name}${path}`},
    element('h2', {}, verb(name), element('code', {}, path)),
    element('p', {}, element('strong', {}, words(`${one.summary}.`)),
      one.security ? ' Needs no API key.' : ''),
    one.description ? prose(one.description.slice(one.summary.length + 1)) : null,
    parameters(one),
    body ? [element('h3', {}, 'Request'),
      element('p', {}, 'application/json: ', kind(body.content['application/json'].schema))] : null,
    answers(one));
}

function schema(name, one) {
  const body = one.properties ? properties(one) : null;
  return element('section', {id: name}, element('h2', {}, name), prose(one.description), body);
}

function show(document_) {
  const main = document.getElementById('document');
  const contents = document.getElementById('contents');
  const info = document_.info;
  main.replaceChildren(element('h1', {}, info.title),
    element('p', {class: 'soft'}, `Version ${info.version} · `,
      element('a', {href: '/openapi.json'}, 'openapi.json')),
    ...prose(info.description));
  contents.append(element('h2', {}, 'Calls'));
  for (const [path, verbs] of Object.entries(document_.paths)) {
    for (const name of VERBS.filter((one) => verbs[one])) {
      main.append(operation(path, name, verbs[name]));
      contents.append(element('a', {href: `#${name}${path}`}, verb(name), path));
    }
  }
  contents.append(element('h2', {}, 'Messages'));
  for (const [name, one] of Object.entries(document_.components.schemas)) {
    main.append(schema(name, one));
    contents.append(element('a', {href: `#${name}`}, name));
  }
  document.body.dataset.shown = 'yes';
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

fetch('/openapi.json')
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`status ${answer.status}`))))
  .then(show)
  .catch((error) => {
    document.getElementById('state').textContent = `The document cannot be shown: ${error.message}`;
  });

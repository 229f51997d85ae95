// A workload that reads the Workload API with grpc-js alone: prints one JSON line for every update
// and error, and dials again after an error that may pass.
// Usage: client.js ADDRESS watch|source|tokens PROTO_FILE
const crypto = require('crypto');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [, , address, mode, protoFile] = process.argv;
const api = grpc.loadPackageDefinition(loader.loadSync(protoFile, { keepCase: true, defaults: true }));
const client = new api.SpiffeWorkloadAPI(address, grpc.credentials.createInsecure(), {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
});

function show(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

function header() {
  const metadata = new grpc.Metadata();
  metadata.set('workload.spiffe.io', 'true');
  return metadata;
}

function trustDomain(id) {
  return `spiffe://${new URL(id).host}`;
}

function stream(method, onData) {
  const call = client[method]({}, header());
  call.on('data', onData);
  call.on('error', (error) => {
    show({ event: 'error', error: error.message });
    if (error.code === grpc.status.UNAVAILABLE) setTimeout(stream, 100, method, onData);
    else process.exitCode = 1;
  });
}

function showX509(svids, bundle) {
  const svid = svids[0];
  const leaf = new crypto.X509Certificate(svid.x509_svid);
  const root = new crypto.X509Certificate(bundle);
  const key = crypto.createPrivateKey({ key: svid.x509_svid_key, format: 'der', type: 'pkcs8' });
  if (!leaf.checkPrivateKey(key)) throw new Error('the key is not of this certificate');
  if (!leaf.verify(root.publicKey)) throw new Error('the certificate was not signed by the root');
  const serial = leaf.serialNumber.toLowerCase().replace(/^0+/, '');
  show({ event: 'update', svids: svids.length, spiffe_id: svid.spiffe_id, serial, roots: 1 });
}

function unary(method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, header(), (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

// The SPIFFE ID in the token, if a key of its trust domain has signed it.
function subjectOf(token, bundles) {
  const [head, body, signature] = token.split('.');
  const read = (part) => JSON.parse(Buffer.from(part, 'base64url'));
  const { sub } = read(body);
  const { keys } = JSON.parse(bundles[trustDomain(sub)]);
  const jwk = keys.find(({ kid }) => kid === read(head).kid);
  const key = { key: crypto.createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
  const signed = crypto.verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'));
  if (!signed) throw new Error('the token was not signed by the key that it names');
  return sub;
}

// Fetches a token and has it validated here and by the agent; the agent must not take it for
// another audience.
async function useToken(bundles) {
  const [{ spiffe_id, svid }] = (await unary('FetchJWTSVID', { audience: ['backend'] })).svids;
  const { spiffe_id: there } = await unary('ValidateJWTSVID', { audience: 'backend', svid });
  const refusal = await unary('ValidateJWTSVID', { audience: 'frontend', svid }).then(() => '', String);
  const token = crypto.createHash('sha256').update(svid).digest('hex');
  show({ event: 'update', spiffe_id, token, here: subjectOf(svid, bundles), there, refusal });
}

const modes = {
  // Every answer as it comes.
  watch: () => stream('FetchX509SVID', ({ svids }) => showX509(svids, svids[0].bundle)),
  // SVIDs and bundles by streams of their own, each as it was last.
  source: () => {
    const held = {};
    const changed = (part) => {
      Object.assign(held, part);
      if (!held.svids || !held.bundles) return;
      showX509(held.svids, held.bundles[trustDomain(held.svids[0].spiffe_id)]);
    };
    stream('FetchX509SVID', ({ svids }) => changed({ svids }));
    stream('FetchX509Bundles', ({ bundles }) => changed({ bundles }));
  },
  // Uses a token at every update of the JWT bundles.
  tokens: () => stream('FetchJWTBundles', ({ bundles }) => useToken(bundles)),
};

modes[mode]();

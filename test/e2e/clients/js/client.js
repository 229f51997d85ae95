// A workload that reads the Workload API with grpc-js alone: prints one JSON line for every update
// and error, and dials again after an error that may pass.
// Usage: client.js ADDRESS watch|source PROTO_FILE
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

const modes = {
  // Every answer as it comes.
  watch: () => stream('FetchX509SVID', ({ svids }) => showX509(svids, svids[0].bundle)),
  // SVIDs and bundles by streams of their own, each as it was last.
  source: () => {
    const held = {};
    const changed = (part) => {
      Object.assign(held, part);
      if (!held.svids || !held.bundles) return;
      showX509(held.svids, held.bundles[`spiffe://${new URL(held.svids[0].spiffe_id).host}`]);
    };
    stream('FetchX509SVID', ({ svids }) => changed({ svids }));
    stream('FetchX509Bundles', ({ bundles }) => changed({ bundles }));
  },
};

modes[mode]();

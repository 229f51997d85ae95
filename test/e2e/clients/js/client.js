// A workload that reads the Workload API with grpc-js alone: prints one JSON line for every answer
// and error, and dials again after an error that may pass.
const crypto = require('crypto');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [, , address, protoFile] = process.argv;
const api = grpc.loadPackageDefinition(loader.loadSync(protoFile, { keepCase: true, defaults: true }));
const client = new api.SpiffeWorkloadAPI(address, grpc.credentials.createInsecure(), {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
});

function show(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

function describe(svid) {
  const leaf = new crypto.X509Certificate(svid.x509_svid);
  const root = new crypto.X509Certificate(svid.bundle);
  const key = crypto.createPrivateKey({ key: svid.x509_svid_key, format: 'der', type: 'pkcs8' });
  if (!leaf.checkPrivateKey(key)) throw new Error('the key is not of this certificate');
  if (!leaf.verify(root.publicKey)) throw new Error('the certificate was not signed by the root');
  return { spiffe_id: svid.spiffe_id, serial: leaf.serialNumber.toLowerCase().replace(/^0+/, ''), roots: 1 };
}

function watch() {
  const metadata = new grpc.Metadata();
  metadata.set('workload.spiffe.io', 'true');
  const stream = client.FetchX509SVID({}, metadata);
  stream.on('data', ({ svids }) => show({ event: 'update', svids: svids.length, ...describe(svids[0]) }));
  stream.on('error', (error) => {
    show({ event: 'error', error: error.message });
    if (error.code === grpc.status.UNAVAILABLE) setTimeout(watch, 100);
    else process.exitCode = 1;
  });
}

watch();

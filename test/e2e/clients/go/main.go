// A workload that holds its identity with go-spiffe: prints one JSON line for every X.509 context
// that the agent streams, and for every error of the stream.
package main

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

type watcher struct{ out *json.Encoder }

func (w watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	svid := update.DefaultSVID()
	roots := 0
	for _, bundle := range update.Bundles.Bundles() {
		roots += len(bundle.X509Authorities())
	}
	w.print(map[string]interface{}{
		"event":     "update",
		"svids":     len(update.SVIDs),
		"spiffe_id": svid.ID.String(),
		"serial":    svid.Certificates[0].SerialNumber.Text(16),
		"not_after": svid.Certificates[0].NotAfter.Format(time.RFC3339),
		"roots":     roots,
	})
}

func (w watcher) OnX509ContextWatchError(err error) {
	w.print(map[string]interface{}{"event": "error", "error": err.Error()})
}

func (w watcher) print(line map[string]interface{}) {
	if err := w.out.Encode(line); err != nil {
		os.Exit(1)
	}
}

func main() {
	w := watcher{json.NewEncoder(os.Stdout)}
	client, err := workloadapi.New(context.Background(), workloadapi.WithAddr(os.Args[1]))
	if err == nil {
		err = client.WatchX509Context(context.Background(), w)
	}
	w.OnX509ContextWatchError(err)
	os.Exit(1)
}

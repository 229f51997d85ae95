package main

import (
	"context"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func showX509(svids int, svid *x509svid.SVID, bundles x509bundle.Source) error {
	bundle, err := bundles.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return err
	}
	if _, _, err := x509svid.Verify(svid.Certificates, bundles); err != nil {
		return err
	}
	show(line{
		"event":     "update",
		"svids":     svids,
		"spiffe_id": svid.ID.String(),
		"serial":    svid.Certificates[0].SerialNumber.Text(16),
		"roots":     len(bundle.X509Authorities()),
	})
	return nil
}

type watcher struct{}

func (w watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	if err := showX509(len(update.SVIDs), update.DefaultSVID(), update.Bundles); err != nil {
		showError(err)
	}
}

func (w watcher) OnX509ContextWatchError(err error) {
	showError(err)
}

// Every X.509 context as it comes, and every error of the stream.
func watch(ctx context.Context, address string) error {
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(address))
	if err != nil {
		return err
	}
	return client.WatchX509Context(ctx, watcher{})
}

// What a server sees that leaves all of it to the library.
func holdSource(ctx context.Context, address string) error {
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(address)))
	if err != nil {
		return err
	}
	for {
		svid, err := source.GetX509SVID()
		if err != nil {
			return err
		}
		if err := showX509(1, svid, source); err != nil {
			return err
		}
		if err := source.WaitUntilUpdated(ctx); err != nil {
			return err
		}
	}
}

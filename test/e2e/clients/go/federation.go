package main

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

type bundleWatcher struct{}

func (bundleWatcher) NextRefresh(hint time.Duration) time.Duration { return time.Second }

func (bundleWatcher) OnUpdate(bundle *spiffebundle.Bundle) {
	sequence, _ := bundle.SequenceNumber()
	hint, _ := bundle.RefreshHint()
	show(line{
		"event":    "update",
		"sequence": sequence,
		"hint":     hint.Seconds(),
		"roots":    len(bundle.X509Authorities()),
		"jwt_keys": len(bundle.JWTAuthorities()),
	})
}

func (bundleWatcher) OnError(err error) { showError(err) }

// How the endpoint proves itself: by the Web PKI with these roots, or, if an ID is given, by an
// X509-SVID for it.
func authentication(roots string, id string) (federation.FetchOption, error) {
	if id != "" {
		endpoint, err := spiffeid.FromString(id)
		if err != nil {
			return nil, err
		}
		bundle, err := x509bundle.Load(endpoint.TrustDomain(), roots)
		if err != nil {
			return nil, err
		}
		return federation.WithSPIFFEAuth(bundle, endpoint), nil
	}
	pem, err := os.ReadFile(roots)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no roots in " + roots)
	}
	return federation.WithWebPKIRoots(pool), nil
}

// Polls a bundle endpoint every second. Arguments: TRUST_DOMAIN ROOTS [ENDPOINT_ID]
func federate(ctx context.Context, url string) error {
	arguments := append(os.Args[3:], "")
	trustDomain, err := spiffeid.TrustDomainFromString(arguments[0])
	if err != nil {
		return err
	}
	option, err := authentication(arguments[1], arguments[2])
	if err != nil {
		return err
	}
	return federation.WatchBundle(ctx, trustDomain, url, bundleWatcher{}, option)
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

const audience = "backend"

type tokenUser struct {
	client  *workloadapi.Client
	tokens  *workloadapi.JWTSource
	bundles *workloadapi.BundleSource
}

// Fetches a token and has it validated here and by the agent; the agent must not take it for
// another audience.
func (u tokenUser) use(ctx context.Context) error {
	svid, err := u.tokens.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return err
	}
	here, err := jwtsvid.ParseAndValidate(svid.Marshal(), u.bundles, []string{audience})
	if err != nil {
		return err
	}
	there, err := u.client.ValidateJWTSVID(ctx, svid.Marshal(), audience)
	if err != nil {
		return err
	}
	refusal := ""
	if _, err := u.client.ValidateJWTSVID(ctx, svid.Marshal(), "frontend"); err != nil {
		refusal = err.Error()
	}
	digest := sha256.Sum256([]byte(svid.Marshal()))
	show(line{
		"event":     "update",
		"spiffe_id": svid.ID.String(),
		"token":     hex.EncodeToString(digest[:]),
		"here":      here.ID.String(),
		"there":     there.ID.String(),
		"refusal":   refusal,
	})
	return nil
}

// Uses a token at every update of the JWT bundles.
func holdTokens(ctx context.Context, address string) error {
	addr := workloadapi.WithAddr(address)
	client, err := workloadapi.New(ctx, addr)
	if err != nil {
		return err
	}
	tokens, err := workloadapi.NewJWTSource(ctx, workloadapi.WithClientOptions(addr))
	if err != nil {
		return err
	}
	bundles, err := workloadapi.NewBundleSource(ctx, workloadapi.WithClientOptions(addr))
	if err != nil {
		return err
	}
	for {
		if err := (tokenUser{client, tokens, bundles}).use(ctx); err != nil {
			return err
		}
		if err := tokens.WaitUntilUpdated(ctx); err != nil {
			return err
		}
	}
}

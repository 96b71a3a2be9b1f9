package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"log/slog"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func newZitadel(d deps) (engine, facts, error) {
	return &provider{name: "zitadel", deps: d}, facts{
		version: moduleVersion("github.com/zitadel/oidc/v3"), store: "memory (the library's example)", durability: "none: nothing is kept",
	}, nil
}

// The clients of the example's storage. The first is part of it.
const (
	zitadelService       = "sid1"
	zitadelServiceSecret = "verysecret"
	zitadelApp           = "web"
	zitadelAppSecret     = "secret"
	zitadelUser          = "id1"
)

// zitadelStorage is the storage in memory of the library's example, with a key of our choice and JWTs for access tokens.
type zitadelStorage struct {
	*storage.Storage
	key zitadelKey
}

// zitadelKey is the only key: private for op.SigningKey, public for op.Key.
type zitadelKey struct {
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

func (k zitadelKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k zitadelKey) Key() any                                    { return k.private }
func (k zitadelKey) ID() string                                  { return verifyKeyID }

type zitadelPublicKey struct{ zitadelKey }

func (k zitadelPublicKey) Algorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k zitadelPublicKey) Use() string                        { return "sig" }
func (k zitadelPublicKey) Key() any                           { return k.private.Public() }

func (s *zitadelStorage) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }

func (s *zitadelStorage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{s.key.algorithm}, nil
}

func (s *zitadelStorage) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{zitadelPublicKey{s.key}}, nil
}

// zitadelClient is a client whose access tokens are JWTs; the example's are opaque.
type zitadelClient struct{ op.Client }

func (zitadelClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

func (s *zitadelStorage) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	client, err := s.Storage.ClientCredentials(ctx, id, secret)
	return zitadelClient{client}, err
}

func (s *zitadelStorage) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := s.Storage.GetClientByClientID(ctx, id)
	return zitadelClient{client}, err
}

// serveZitadel serves the library's provider with the storage of its example, which has everything in memory and
// forgets it with the process.
func serveZitadel(ctx context.Context, s serving) (*offer, error) {
	key, err := newKey(s.Algorithm)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	issuer := fmt.Sprintf("http://127.0.0.1:%d", port)
	storage.RegisterClients(storage.WebClient(zitadelApp, zitadelAppSecret))
	store := &zitadelStorage{
		Storage: storage.NewStorage(storage.NewUserStore(issuer)),
		key:     zitadelKey{jose.SignatureAlgorithm(s.Algorithm), key},
	}
	config := &op.Config{CodeMethodS256: true, AuthMethodPost: true, GrantTypeRefreshToken: true}
	if _, err := rand.Read(config.CryptoKey[:]); err != nil {
		return nil, err
	}
	handler, err := op.NewProvider(config, store, op.StaticIssuer(issuer), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	o := &offer{
		Issuer: issuer, TokenURL: issuer + "/oauth/token", KeysURL: issuer + "/keys", Audience: zitadelService,
		ClientID: zitadelService, Secret: zitadelServiceSecret, AppID: zitadelApp, AppSecret: zitadelAppSecret,
	}
	for range s.SignIns {
		request, err := store.CreateAuthRequest(ctx, &oidc.AuthRequest{
			ClientID: zitadelApp, Scopes: oidc.SpaceDelimitedArray{oidc.ScopeOpenID, oidc.ScopeOfflineAccess},
		}, zitadelUser)
		if err != nil {
			return nil, err
		}
		_, token, _, err := store.CreateAccessAndRefreshTokens(ctx, request, "")
		if err != nil {
			return nil, err
		}
		o.RefreshTokens = append(o.RefreshTokens, token)
	}
	serveHTTP(ctx, port, handler)
	return o, nil
}

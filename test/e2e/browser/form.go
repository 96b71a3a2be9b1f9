package browser

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Go opens another address.
func (p *Page) Go(url string) {
	p.t.Helper()
	p.do("open "+url, chromedp.Navigate(url))
}

// Fill waits for the only element of a selector and puts text into it, in place of what it has.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.Text(selector) // waits
	Eval[bool](p, fmt.Sprintf("(document.querySelector(%q).value = '', document.querySelector(%q).focus(), true)", selector, selector))
	p.do("fill "+selector, chromedp.KeyEvent(text))
}

// WaitText waits until the page shows a text.
func (p *Page) WaitText(text string) {
	p.t.Helper()
	p.Wait(fmt.Sprintf("the text %q", text), fmt.Sprintf("document.readyState === 'complete' && document.body.innerText.includes(%q)", text))
}

// Authenticator gives the browser a device for passkeys whose user always agrees.
func (p *Page) Authenticator() {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		p.t.Fatalf("enable passkeys: %v", err)
	}
	_, err := chromedp.Call(p.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		},
	})
	if err != nil {
		p.t.Fatalf("add a device for passkeys: %v", err)
	}
}

// Keep writes a picture of the page as NAME.png into the folder that PERDURE_TEST_SCREENSHOTS names, for
// people to look at. Without it nothing is written.
func (p *Page) Keep(name string) {
	p.t.Helper()
	folder := os.Getenv("PERDURE_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), p.Screenshot(), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

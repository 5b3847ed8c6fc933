package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/sysctl"
	"github.com/sluicegw/sluice/sysctl/doctor"
)

// doctorPatience bounds the question to the control API.
const doctorPatience = 2 * time.Second

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what slows the gateway down on this host",
		Long: `Checks the host's settings (docs/host.md), accept queues and dropped connections,
CPU quota and affinity, conntrack, the network cards' queues, the clock, the
open-file limit, and, when a gateway runs here, its etcd.

It works without privileges, says what it could not read, and changes nothing:
sysctl/tune.sh does. The exit code is 1 when something is not as wanted.`,
		Example: `  gw doctor
  gw doctor --profile container --json`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print the checks as JSON")
	profile := cmd.Flags().String("profile", sysctl.Profiles[0], "whose values are wanted: "+strings.Join(sysctl.Profiles, ", "))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		index, err := sysctl.Profile(*profile)
		if err != nil {
			return err
		}
		s, _, err := conf.LoadSettings(configPath(*flag))
		if err != nil {
			return err
		}
		checks := doctor.Run(doctor.Options{Profile: index, Gateway: findGateway(cmd.Context(), s)})
		if *asJSON {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			err = enc.Encode(checks)
		} else {
			err = doctor.WriteText(cmd.OutOrStdout(), checks)
		}
		for i := range checks {
			if err == nil && checks[i].State == doctor.Bad {
				err = &exitError{code: 1}
			}
		}
		return err
	}
	return cmd
}

// findGateway asks the control API of the gateway that runs here; nil when
// none answers. It needs no rights on the run directory.
func findGateway(ctx context.Context, s *conf.Settings) *doctor.Gateway {
	if !s.APISIX.EnableControl {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	r, err := askControlAPI(ctx, s.APISIX.Control)
	if err != nil {
		return nil
	}
	g := new(doctor.Gateway)
	if r.Process != nil {
		g.PID = r.Process.PID
	}
	if src := r.Source; src != nil {
		g.Source, g.Reachable, g.Synced, g.LagSeconds, g.LastError = src.Provider, src.Reachable, src.Synced, src.LagSeconds, src.LastError
		for _, e := range src.Endpoints {
			if !e.Reachable {
				g.Unreachable = append(g.Unreachable, e.Endpoint)
			}
		}
	}
	return g
}

func askControlAPI(ctx context.Context, a conf.Address) (*report, error) {
	host := a.IP
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	url := "http://" + net.JoinHostPort(host, strconv.Itoa(a.Port)) + "/v1/sluice/status"
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", url, resp.StatusCode)
	}
	r := new(report)
	return r, json.NewDecoder(resp.Body).Decode(r)
}

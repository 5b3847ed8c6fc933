package conf

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

const docFile = "../../docs/configuration.md"

// TestConfigurationDoc holds docs/configuration.md to the settings. After a
// change: go test ./core/conf -run ConfigurationDoc -update
func TestConfigurationDoc(t *testing.T) {
	want := configurationDoc(t)
	if *update {
		if err := os.WriteFile(docFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/configuration.md is not what the settings say (%v): go test ./core/conf -run ConfigurationDoc -update", err)
	}
}

const docHead = `# config.yaml

Made from the settings' source by ` + "`go test ./core/conf -run ConfigurationDoc -update`" + `; do not edit.

The file is APISIX's: an existing one works as it is. Keys that have no meaning
here are named once in the log at the start and by ` + "`gw test -c FILE`" + `; so are
unknown keys. A value of the wrong type or beyond its limits is an error that
names file, line and key. Without any file everything below has its default.

- ` + "`${{NAME}}` and `${{NAME:=default}}`" + ` in a value are replaced by variables of the
  environment; one that is not set and has no default is an error.
- ` + "`APISIX_PROFILE=dev`" + ` reads config-dev.yaml and apisix-dev.yaml instead.
- ` + "`APISIX_DEPLOYMENT_ETCD_HOST` and `APISIX_WORKER_PROCESSES`" + ` win over the file.
- Durations are seconds (2.5) or numbers with units (500ms, 60s, 1m30s, 1h);
  sizes are bytes or numbers with k, m, g.
- Raw pieces of nginx configuration (` + "`*_configuration_snippet`" + `) are not read; each
  directive is named with the setting or plugin to use instead. These are taken
  over from http_configuration_snippet and http_server_configuration_snippet:
  %s.

What SIGHUP (` + "`gw reload`" + `) does with a change, column Reload:
%s
`

func configurationDoc(t *testing.T) []byte {
	d := docWriter{comments: fieldComments(t)}
	var meanings strings.Builder
	for _, m := range ReloadMeanings {
		fmt.Fprintf(&meanings, "- **%s**: %s\n", m.Word, m.Meaning)
	}
	fmt.Fprintf(&d.out, docHead, strings.Join(snippetTaken, ", "), meanings.String())
	d.section(reflect.TypeFor[Settings](), "", "")
	d.out.WriteString("\n## Keys of APISIX without meaning here\n\n| Key | Why |\n|---|---|\n")
	for _, key := range sortedNames(withoutMeaning) {
		fmt.Fprintf(&d.out, "| `%s` | %s |\n", key, withoutMeaning[key])
	}
	return d.out.Bytes()
}

type docWriter struct {
	out      bytes.Buffer
	comments map[string]string // "Type.Field" and "Type"
}

// section writes a table of the fields of t, then those of its parts.
func (d *docWriter) section(t reflect.Type, path, reload string) {
	type part struct {
		t      reflect.Type
		path   string
		reload string
	}
	var rows []string
	var parts []part
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		if key == ",rest" {
			key = "*other keys*"
		}
		doc := d.comments[t.Name()+"."+f.Name]
		at := join(path, key)
		when := f.Tag.Get("reload")
		if when == "" {
			when = reload
		}
		if plainStruct(f.Type) || f.Type.Kind() == reflect.Slice && !isCustom(f.Type) && plainStruct(f.Type.Elem()) {
			name := at
			sub := f.Type
			if sub.Kind() == reflect.Slice {
				name, sub = at+"[]", sub.Elem()
			}
			parts = append(parts, part{sub, name, when})
			continue
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s | %s |",
			key, typeText(f), defaultText(f), sentence(doc, f.Name), when))
	}
	if len(rows) > 0 {
		if path != "" {
			fmt.Fprintf(&d.out, "\n## %s\n\n", path)
			if intro := d.comments[t.Name()]; strings.Contains(intro, ": ") {
				_, intro, _ = strings.Cut(intro, ": ")
				fmt.Fprintf(&d.out, "%s\n\n", strings.ToUpper(intro[:1])+intro[1:])
			}
		} else {
			d.out.WriteString("\n## Top level\n\n")
		}
		d.out.WriteString("| Key | Type | Default | Meaning | Reload |\n|---|---|---|---|---|\n")
		d.out.WriteString(strings.Join(rows, "\n") + "\n")
	}
	for _, p := range parts {
		d.section(p.t, p.path, p.reload)
	}
}

func plainStruct(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	return !isCustom(t)
}

func isCustom(t reflect.Type) bool {
	_, ok := reflect.New(t).Interface().(custom)
	return ok
}

func typeText(f reflect.StructField) string {
	out := ""
	switch f.Type {
	case reflect.TypeFor[ListenList]():
		return "port, or list of ports and {ip, port, enable_http2, enable_http3}"
	case reflect.TypeFor[StreamListenList]():
		return "list of ports, ip:port or {addr, tls}"
	case reflect.TypeFor[Address]():
		return "{ip, port}"
	case reflect.TypeFor[Workers]():
		return "auto or 1..4096"
	case reflect.TypeFor[*EmbeddedEtcd](), rawType:
		return "mapping"
	}
	switch f.Type.Kind() {
	case reflect.String:
		out = "string"
	case reflect.Bool:
		out = "boolean"
	case reflect.Slice:
		out = "list"
	case reflect.Map:
		out = "mapping"
	default:
		out = "integer"
	}
	switch kind := f.Tag.Get("kind"); kind {
	case "duration", "size":
		out = kind
	case "onoff":
		out = "on/off"
	}
	if words := f.Tag.Get("oneof"); words != "" {
		return strings.ReplaceAll(words, "|", ", ")
	}
	lo, hi := f.Tag.Get("min"), f.Tag.Get("max")
	switch {
	case lo != "" && hi != "":
		out += ", " + lo + ".." + hi
	case lo != "":
		out += ", ≥ " + lo
	}
	return out
}

func defaultText(f reflect.StructField) string {
	text, ok := f.Tag.Lookup("default")
	if !ok {
		return ""
	}
	return "`" + text + "`"
}

// sentence turns a Go comment about the field into one about the key.
func sentence(doc, field string) string {
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(doc, field+verb); ok {
			doc = rest
			break
		}
	}
	doc = strings.TrimPrefix(doc, field+" ")
	if doc == "" {
		return ""
	}
	return strings.ReplaceAll(strings.ToUpper(doc[:1])+doc[1:], "|", "\\|")
}

// fieldComments reads the doc comments of all settings types.
func fieldComments(t *testing.T) map[string]string {
	files, err := filepath.Glob("settings*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				return true
			}
			for _, spec := range decl.Specs {
				spec := spec.(*ast.TypeSpec)
				body, ok := spec.Type.(*ast.StructType)
				if !ok {
					continue
				}
				out[spec.Name.Name] = oneLine(decl.Doc)
				for _, f := range body.Fields.List {
					for _, name := range f.Names {
						out[spec.Name.Name+"."+name.Name] = oneLine(f.Doc)
					}
				}
			}
			return true
		})
	}
	return out
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// TestSettingsAreDocumented asks for a comment on every setting.
func TestSettingsAreDocumented(t *testing.T) {
	comments := fieldComments(t)
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(st reflect.Type) {
		if seen[st] {
			return
		}
		seen[st] = true
		for i := range st.NumField() {
			f := st.Field(i)
			sub := f.Type
			if sub.Kind() == reflect.Slice {
				sub = sub.Elem()
			}
			if plainStruct(sub) {
				walk(sub)
				continue
			}
			if f.Tag.Get("yaml") != "" && comments[st.Name()+"."+f.Name] == "" {
				t.Errorf("%s.%s has no comment", st.Name(), f.Name)
			}
		}
	}
	walk(reflect.TypeFor[Settings]())
}

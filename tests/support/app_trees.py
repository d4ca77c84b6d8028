"""Small apps as their authors would commit them, one for each kind that `init` detects."""

from collections.abc import Mapping

Tree = Mapping[str, str]

FLASK: Tree = {
    "requirements.txt": "flask\ngunicorn\n",
    "shop.py": 'from flask import Flask\napp = Flask(__name__)\n@app.get("/")\n'
    'def page():\n    return "hello from flask"\n',
    "worker.py": "import time\nprint('working', flush=True)\nwhile True: time.sleep(1)\n",
    "Procfile": "web: gunicorn shop:app --log-file -\nworker: python worker.py\n",
    ".gitignore": ".venv\n__pycache__\n",
}
UV_PROJECT: Tree = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.11"\n'
    'dependencies = ["starlette", "uvicorn"]\n',
    "main.py": "from starlette.applications import Starlette\n"
    "from starlette.responses import PlainTextResponse\n"
    "from starlette.routing import Route\n"
    'app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello from uv"))])\n',
    ".gitignore": ".venv\n__pycache__\n",
}
GO: Tree = {
    "go.mod": "module example.com/shop\n\ngo 1.18\n",
    "cmd/web/main.go": 'package main\n\nimport (\n\t"fmt"\n\t"net/http"\n\t"os"\n)\n\n'
    "func main() {\n"
    '\thttp.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {\n'
    '\t\tfmt.Fprint(w, "hello from go")\n\t})\n'
    '\thttp.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)\n}\n',
    "cmd/tool/main.go": "package main\n\nfunc main() {}\n",
}
HUGO: Tree = {
    "hugo.toml": 'baseURL = "/"\ntitle = "Blog"\n',
    "config.toml": 'baseURL = "/"\ntitle = "Blog"\n',  # Its name until Hugo 0.110.
    "layouts/index.html": "<h1>hello from {{ .Site.Title }}</h1>{{ .Content }}",
    "layouts/_default/single.html": "{{ .Content }}",
    "content/post.md": "---\ntitle: Post\n---\n# A post\n",
    ".gitignore": "public\nresources\n.hugo_build.lock\n",
}
JEKYLL: Tree = {
    "_config.yml": "title: Blog\n",
    "_layouts/page.html": "<h1>{{ site.title }}</h1>{{ content }}",
    "index.md": "---\nlayout: page\n---\nhello from jekyll\n",
    ".gitignore": "_site\n.jekyll-cache\n",
}
MKDOCS: Tree = {
    "mkdocs.yml": "site_name: Manual\n",
    "docs/index.md": "# hello from mkdocs\n",
    "requirements.txt": "mkdocs<2\n",
    ".gitignore": ".venv\nsite\n",
}
ELEVENTY: Tree = {
    "package.json": '{"scripts": {"start": "eleventy --serve", "build": "eleventy"},'
    ' "devDependencies": {"@11ty/eleventy": "^2"}}',
    "index.md": "# hello from eleventy\n",
    ".gitignore": "node_modules\n_site\n",
}
SINATRA: Tree = {
    "Gemfile": 'source "https://rubygems.org"\ngem "sinatra"\ngem "puma"\n',
    "app.rb": 'require "sinatra/base"\nclass Shop < Sinatra::Base\n'
    '  get("/") { "hello from sinatra" }\nend\n',
    "config.ru": 'require_relative "app"\nrun Shop\n',
    ".gitignore": "vendor/bundle\n",
}
RAILS: Tree = {
    "Gemfile": 'source "https://rubygems.org"\ngem "railties"\ngem "activerecord"\n'
    'gem "sprockets-rails"\ngem "sqlite3"\ngem "puma"\n',
    "Rakefile": 'require_relative "config/application"\nRails.application.load_tasks\n',
    "bin/rails": '#!/usr/bin/env ruby\nAPP_PATH = File.expand_path("../config/application", '
    '__dir__)\nrequire_relative "../config/boot"\nrequire "rails/commands"\n',
    "config.ru": 'require_relative "config/environment"\nrun Rails.application\n',
    "config/boot.rb": 'ENV["BUNDLE_GEMFILE"] ||= File.expand_path("../Gemfile", __dir__)\n'
    'require "bundler/setup"\n',
    "config/application.rb": """\
require_relative "boot"
require "logger"
require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "sprockets/railtie"
Bundler.require(*Rails.groups)
module Shop
  class Application < Rails::Application
    config.secret_key_base = "x" * 64
  end
end
""",
    "config/environment.rb": 'require_relative "application"\nRails.application.initialize!\n',
    "config/environments/production.rb": """\
Rails.application.configure do
  config.cache_classes = true
  config.eager_load = true
  config.public_file_server.enabled = ENV["RAILS_SERVE_STATIC_FILES"].present?
  config.assets.compile = false
  config.active_record.dump_schema_after_migration = false
  config.logger = ActiveSupport::Logger.new($stdout) if ENV["RAILS_LOG_TO_STDOUT"].present?
end
""",
    "config/routes.rb": 'Rails.application.routes.draw { root "notes#index" }\n',
    "config/database.yml": "production:\n  adapter: sqlite3\n  database: db/production.sqlite3\n",
    "config/puma.rb": 'port ENV.fetch("PORT") { 3000 }\n'
    'pidfile ENV.fetch("PIDFILE") { "tmp/pids/server.pid" }\n',
    "app/assets/config/manifest.js": "//= link application.css\n",
    "app/assets/stylesheets/application.css": "body { color: blue }\n",
    "app/models/note.rb": "class Note < ActiveRecord::Base\nend\n",
    "app/controllers/notes_controller.rb": """\
class NotesController < ActionController::Base
  def index
    style = helpers.stylesheet_link_tag("application")
    Note.create!(text: "one") if params[:add]
    render html: style + "hello from rails, notes: #{Note.count}"
  end
end
""",
    "db/migrate/20240101000000_create_notes.rb": """\
class CreateNotes < ActiveRecord::Migration[6.1]
  def change
    create_table(:notes) { |t| t.string :text }
  end
end
""",
    "log/.keep": "",
    "storage/.keep": "",
    "tmp/.keep": "",
    ".gitignore": "log/*\n!log/.keep\ntmp/*\n!tmp/.keep\n*.sqlite3\nvendor/bundle\npublic/assets\n",
}

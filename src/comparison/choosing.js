// A click on a line's name, or on a family's, puts lines forward or back in every plot of the page that has them.
// Only where some stand back; elsewhere a click hides a line, as plotly has it.
function choose(picked, grey) {
  document.querySelectorAll('.js-plotly-plot').forEach(plot => plot.data.forEach((trace, place) => {
    const told = trace.meta;
    if (!told || told.is === 'heading' || !picked(told)) return;
    const colour = grey ? BACK.colour : told.colour;
    const change = told.is === 'band' ? {fillcolor: grey ? BACK.band : told.band}
      : {'line.color': colour, 'marker.color': colour, 'line.width': grey ? BACK.width : BACK.forward};
    Plotly.restyle(plot, {...change, zorder: grey ? 0 : 1, meta: [{...told, grey: grey}]}, [place]);
  }));
}
document.querySelectorAll('.js-plotly-plot').forEach(plot => {
  if (!plot.data.some(trace => trace.meta && trace.meta.grey)) return;
  plot.on('plotly_legendclick', event => {
    const clicked = plot.data[event.curveNumber].meta;
    if (clicked.is !== 'heading') choose(told => told.name === clicked.name, !clicked.grey);
    else {
      const mine = plot.data.map(trace => trace.meta).filter(told => told.family === clicked.family && told.is !== 'heading');
      const names = new Set(mine.map(told => told.name));  // pictures over all tasks have no families
      choose(told => names.has(told.name), !mine.some(told => told.grey));
    }
    return false;
  });
  plot.on('plotly_legenddoubleclick', () => false);
});
